"""CSRFProtect over a form and over an API whose pages send the token in a header."""

from flask import Flask, request
from flask_wtf import CSRFProtect
from flask_wtf.csrf import generate_csrf

app = Flask(__name__)
app.secret_key = "for the session"
csrf = CSRFProtect(app)
COMMENTS = []


@app.get("/token")
def token():
    return generate_csrf()


@app.route("/comments", methods=["GET", "POST"])
def comments():
    if request.method == "POST":
        COMMENTS.append(request.form["text"])
    return "<ul>" + "".join(f"<li>{text}" for text in COMMENTS) + "</ul>"


@app.post("/api/comments")
def add_comment():
    return {"text": request.get_json()["text"]}, 201


@app.post("/hook")
@csrf.exempt
def hook():
    return "thanks"
