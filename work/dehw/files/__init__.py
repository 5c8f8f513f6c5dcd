"""Files of all kinds. Of this package itself nothing heavy is imported."""

# The kinds that can be written, by the word of `--format`, and the suffixes that name them.
FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "bmp": "BMP", "tif": "TIFF", "heic": "HEIF", "pdf": "PDF"}
SUFFIXES = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "HEIF": (".heic", ".heif"),
    "PDF": (".pdf",),
}
MANY = ("TIFF", "PDF")  # kinds that hold any number of pages
