import os
import tempfile

os.environ["APP_DATABASE"] = os.path.join(tempfile.mkdtemp(prefix="app-"), "app.sqlite")
