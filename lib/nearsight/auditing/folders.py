"""The denoiser of a folder that Hugging Face diffusers saved: local files, safetensors, and no program of the folder's."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError

from nearsight import checks
from nearsight.auditing.conversions import ChainDenoiser, from_vp
from nearsight.auditing.refusal import AuditRefused

KINDS = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}
WEIGHTS = "diffusion_pytorch_model"
PARTS = ("unet_ema", "unet")  # averaged weights first


def from_diffusers(folder: str | Path) -> ChainDenoiser:
    """The denoiser of a `UNet2DModel` and its scheduler, from the folder of a pipeline or of the model.

        denoiser = nearsight.from_diffusers("my-unet-folder")

    A pipeline's folder holds `unet/` (or `unet_ema/`, which is taken where it is there) and `scheduler/`; a model's holds
    the scheduler's `scheduler_config.json` beside its own files. Read are `prediction_type` and `alphas_cumprod`. Nothing is
    fetched, and nothing is unpickled. Needs the extra nearsight[diffusers].

    Raises AuditRefused (code bad_file) for a folder without model, scheduler or safetensors, and for models that need
    more than (x, t): class-conditional and text-conditional ones, latent ones, flow matching. Networks like these are
    wrapped by a function, and latent models audited on decoded samples.
    """
    folder = Path(checks.instance(folder, "folder", (str, Path), "the path of a folder that diffusers saved"))
    if not folder.is_dir():
        raise AuditRefused("bad_file", f"{folder} is no folder; expected one that diffusers saved: check the path.")
    model = next((folder / part for part in PARTS if (folder / part).is_dir()), folder)
    scheduler = next((path for path in (folder / "scheduler", folder) if (path / "scheduler_config.json").is_file()), None)
    config = _read(model / "config.json", folder)
    _refuse_what_needs_more(folder, model, config)
    if scheduler is None:
        raise AuditRefused("bad_file", f"{folder} holds no scheduler_config.json; expected the scheduler that the model was "
                           f"trained with: try scheduler.save_pretrained({str(folder / 'scheduler')!r}).")
    chain = _read(scheduler / "scheduler_config.json", folder)
    if "Flow" in str(chain.get("_class_name")) or chain.get("prediction_type", "epsilon") not in KINDS:
        raise AuditRefused("bad_file", f"{folder} has the scheduler {chain.get('_class_name')} that predicts "
                           f"{chain.get('prediction_type')!r}; expected one of {', '.join(KINDS)}: wrap the network in a "
                           "function that returns the clean image, and pass that as denoiser=.")
    if not list(model.glob(f"{WEIGHTS}*.safetensors")):
        raise AuditRefused("bad_file", f"{model} holds no {WEIGHTS}.safetensors; expected one, since pickled weights can "
                           "run any program: try diffusers.UNet2DModel.from_pretrained(folder, use_safetensors=False)"
                           ".save_pretrained(folder) where you trust them.")
    return _loaded(model, chain)


def _loaded(model: Path, chain: dict) -> ChainDenoiser:
    try:
        import diffusers
    except ImportError as error:
        raise ImportError("diffusers is not installed; expected it for from_diffusers: try pip install "
                          "'nearsight[diffusers]'.") from error
    try:
        network = diffusers.UNet2DModel.from_pretrained(model, local_files_only=True, use_safetensors=True,
                                                        low_cpu_mem_usage=False)
        kind = getattr(diffusers, str(chain.get("_class_name")), diffusers.DDPMScheduler)
        alphas_bar = kind.from_config(chain).alphas_cumprod
    except (OSError, ValueError, RuntimeError, TypeError, AttributeError, SafetensorError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise AuditRefused("bad_file", f"{model} cannot be read by diffusers ({said}); expected a UNet2DModel and a "
                           "scheduler with alphas_cumprod: try to save both again.") from error
    return from_vp(network.eval().float(), torch.as_tensor(alphas_bar), KINDS[chain.get("prediction_type", "epsilon")])


def _read(path: Path, folder: Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AuditRefused("bad_file", f"{path} cannot be read ({error}); expected a folder that diffusers saved: "
                           f"try model.save_pretrained({str(folder)!r}).") from error
    if not isinstance(found, dict):
        raise AuditRefused("bad_file", f"{path} holds no configuration; expected the one that diffusers saved.")
    return found


def _refuse_what_needs_more(folder: Path, model: Path, config: dict) -> None:
    """A latent or conditional model cannot be asked with an image and a time alone."""
    if any((folder / part).is_dir() for part in ("vae", "vqvae")):
        raise AuditRefused("bad_file", f"{folder} holds a latent model; expected one of images: try to audit decoded "
                           "samples as arrays, beside training and held-out images that went through the same autoencoder.")
    conditional = [key for key in ("num_class_embeds", "class_embed_type") if config.get(key) is not None]
    if config.get("_class_name") != "UNet2DModel" or conditional:
        what = f"{config.get('_class_name')}{' with ' + conditional[0] if conditional else ''}"
        raise AuditRefused("bad_file", f"{model} holds a {what}; expected an unconditional UNet2DModel: wrap the network "
                           "in a function of (x, sigma, labels) that returns the clean image, and pass it with conditions=.")
