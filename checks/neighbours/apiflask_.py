"""A small APIFlask app: input and output schemas, and its HTTPError."""

from apiflask import APIFlask, HTTPError, Schema, abort
from apiflask.fields import Integer, String
from apiflask.validators import Length

app = APIFlask(__name__, title="Pets")
PETS = {1: {"id": 1, "name": "Rex"}}


class PetIn(Schema):
    name = String(required=True, validate=Length(1, 10))


class PetOut(Schema):
    id = Integer()
    name = String()


@app.get("/api/pets/<int:number>")
@app.output(PetOut)
def get_pet(number):
    if number not in PETS:
        abort(404, message="There is no such pet")
    return PETS[number]


@app.post("/api/pets")
@app.input(PetIn, location="json")
@app.output(PetOut, status_code=201)
def create_pet(json_data):
    if json_data["name"] == "Rex":
        raise HTTPError(409, message="There is a Rex already", extra_data={"name": "Rex"})
    return {"id": 2, **json_data}
