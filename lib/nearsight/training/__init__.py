"""Training: a recipe, the loop that follows it and ends with the same bits whether or not it was interrupted, families;
and of the classifiers that samples are read with."""

from nearsight.training.classifiers import train_classifier
from nearsight.training.families import train_family
from nearsight.training.loop import Snapshot, Trainer, in_step, train
from nearsight.training.objectives import LogNormal, VpClock, training_loss
from nearsight.training.recipe import Training, log_steps
from nearsight.training.streams import StreamTrainer, in_epochs, settling

__all__ = ["LogNormal", "Snapshot", "StreamTrainer", "Trainer", "Training", "VpClock", "in_epochs", "in_step", "log_steps",
           "settling", "train", "train_classifier", "train_family", "training_loss"]
