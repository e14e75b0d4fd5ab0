def page(document, drawings): return "<html></html>"
