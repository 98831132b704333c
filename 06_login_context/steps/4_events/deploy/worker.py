"""What the worker imports: ``celery -A deploy.worker worker``. Nobody needs to be logged in."""

from app import create_app

celery = create_app().extensions["celery"]
# A worker drops a message whose task it hasn't imported. List all modules with tasks here, in a
# package as "package.tasks".
celery.conf.imports = ["tasks"]
