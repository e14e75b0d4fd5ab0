"""Figures beyond their page: one shown again elsewhere, and the index of all of them."""

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

LOGGER = logging.getLogger(__name__)


class pending_figure(nodes.General, nodes.Element):
    """Stands for an image of another page until all pages are read."""


class pending_index(nodes.General, nodes.Element):
    """Stands for the list of figures until all pages are read."""


class FigureAgain(SphinxDirective):
    """`{figure-again} fig-name`: the image and alt text of a chapter's figure, with the content as its caption."""

    required_arguments = 1
    has_content = True

    def run(self):
        figure = nodes.figure("", pending_figure(name=self.arguments[0]), classes=["figure-again"])
        self.set_source_info(figure)
        parsed = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, parsed)
        figure += nodes.legend("", *parsed.children)
        return [figure]


class FigureIndex(SphinxDirective):
    """`{figure-index}`: every numbered figure, chapter by chapter: its number as a link, and its caption."""

    def run(self):
        return [pending_index()]


def figures(env, docname):
    """Yield (number, figure node) for the numbered figures of a page, in their order."""
    numbers = env.toc_fignumbers.get(docname, {}).get("figure", {})
    for figure in env.get_doctree(docname).findall(nodes.figure):
        number = next((numbers[name] for name in figure["ids"] if name in numbers), None)
        if number:
            yield ".".join(map(str, number)), figure


class ResolveFigures(SphinxPostTransform):
    default_priority = 5

    def run(self, **kwargs):
        for node in list(self.document.findall(pending_figure)):
            self.show_again(node)
        for node in list(self.document.findall(pending_index)):
            node.replace_self(list(self.index()))

    def show_again(self, node):
        docname, target, _ = self.env.get_domain("std").labels.get(node["name"], ("", "", ""))
        found = [figure for _, figure in figures(self.env, docname) if target in figure["ids"]] if docname else []
        if not found:
            LOGGER.warning("no figure is named %r", node["name"], location=node.parent)
            node.parent.remove(node)
            return
        image = next(found[0].findall(nodes.image)).deepcopy()
        link = nodes.reference("", "", image, refuri=self.address(docname, target), internal=True)
        node.replace_self(link)

    def index(self):
        self.env.get_domain("math").data["has_equations"][self.env.docname] = True  # captions bring mathematics along
        for docname in self.pages(self.config.root_doc):
            rows = [self.row(docname, number, figure) for number, figure in figures(self.env, docname)]
            if rows:
                yield nodes.rubric("", self.env.titles[docname].astext())
                yield nodes.bullet_list("", *rows, classes=["figure-index"])

    def pages(self, docname):
        """Yield a page and the pages below it, as the table of contents has them."""
        yield docname
        for below in self.env.toctree_includes.get(docname, []):
            yield from self.pages(below)

    def row(self, docname, number, figure):
        link = nodes.reference("", f"Figure {number}", refuri=self.address(docname, figure["ids"][0]), internal=True)
        caption = next(figure.findall(nodes.caption)).deepcopy()
        for reference in caption.findall(addnodes.pending_xref):
            reference["refdoc"] = self.env.docname
        return nodes.list_item("", nodes.paragraph("", "", link, nodes.Text(". "), *caption.children))

    def address(self, docname, target):
        return f"{self.app.builder.get_relative_uri(self.env.docname, docname)}#{target}"


def setup(app):
    app.add_directive("figure-again", FigureAgain)
    app.add_directive("figure-index", FigureIndex)
    app.add_post_transform(ResolveFigures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
