"""What is below ``scripts`` is run by the stock peer's interpreter, against packages that are not here."""

collect_ignore = ["scripts"]
