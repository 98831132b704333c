"""What the worker imports: ``celery -A deploy.worker worker``. Nobody needs to be logged in."""

from app import create_app

celery = create_app().extensions["celery"]
