import os
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent
SECRET_KEY = "of the case"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "project.apps.ProjectConfig"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = True
ROOT_URLCONF = "project.urls"
_FILE = os.environ.get("DATABASE") == "file"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(FOLDER / "live.sqlite3") if _FILE else ":memory:",
        "TEST": {"NAME": str(FOLDER / "tested.sqlite3")} if _FILE else {},
    }
}
