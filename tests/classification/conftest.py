from data_fixtures import folders, make_folders

__all__ = ["folders", "make_folders"]
