"""An app that sets up logging for itself and all that it uses."""

from logging.config import dictConfig

from flask import Flask

dictConfig(
    {
        "version": 1,
        "formatters": {"short": {"format": "%(levelname)s %(message)s"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "short"}},
        "root": {"level": "INFO", "handlers": ["console"]},
    }
)
app = Flask(__name__)


@app.get("/api/greet/<name>")
def greet(name):
    app.logger.info("Hello %s", name)
    return {"greet": name}
