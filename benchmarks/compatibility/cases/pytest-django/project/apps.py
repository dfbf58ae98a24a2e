from django.apps import AppConfig


class ProjectConfig(AppConfig):
    name = "project"

    def ready(self):
        """Opens a connection before the fork, as applications do that look something up."""
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
