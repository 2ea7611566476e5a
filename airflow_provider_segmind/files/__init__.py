"""Reading and writing files: object storage, pictures, downloads and publishing."""
