"""Flask-Login with a login page, an API, and a part that a hook closes; CSRFProtect over all."""

from flask import Flask, abort, redirect, request, url_for
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user
from flask_wtf import CSRFProtect
from flask_wtf.csrf import generate_csrf

app = Flask(__name__)
app.secret_key = "for the session"
CSRFProtect(app)
login_manager = LoginManager(app)
login_manager.login_view = "login"


class User(UserMixin):
    id = "ada"


@login_manager.user_loader
def load_user(user_id):
    return User()


@app.before_request
def close_the_office():
    if request.path.startswith("/api/office/") and not current_user.is_authenticated:
        abort(401, "Log in first")


@app.get("/token")
def token():
    return generate_csrf()


@app.route("/login", methods=["GET", "POST"])
def login():
    if request.method == "POST" and request.form["password"] == "lovelace":
        login_user(User())
        return redirect(url_for("account"))
    return "<form method=post><input name=password></form>"


@app.get("/account")
@login_required
def account():
    return f"<h1>{current_user.id}</h1>"


@app.get("/api/me")
@login_required
def me():
    return {"id": current_user.id}


@app.post("/api/office/notes")
def add_note():
    return {"text": request.get_json()["text"]}, 201
