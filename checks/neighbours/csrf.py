"""CSRFProtect over a form and over an API whose pages send the token in a header."""

from flask import Flask, request
from flask_wtf import CSRFProtect
from flask_wtf.csrf import generate_csrf

app = Flask(__name__)
app.secret_key = "for the session"
csrf = CSRFProtect(app)


@app.get("/token")
def token():
    return generate_csrf()


@app.route("/comments", methods=["GET", "POST"])
def comments():
    return f"<p>{request.form.get('text', 'No comments yet')}"


@app.post("/api/comments")
def add_comment():
    return {"text": request.get_json()["text"]}, 201


@app.post("/hook")
@csrf.exempt
def hook():
    return "thanks"
