import os

AT_IMPORT = os.environ["PLAIN"]
