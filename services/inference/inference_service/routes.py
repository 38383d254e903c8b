"""HTTP: the tasks there are, a picture looked at now, a task run again, what was found drawn."""

from __future__ import annotations

import msgspec
from imagesystem import ids
from imagesystem.errors import Rejected
from imagesystem.events import Infer
from imagesystem.ids import parse_image_id
from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.params import FromPath

from inference_service import parameters
from inference_service.answers import AnyAnswer, answer_of, require_choice, wanted
from inference_service.bodies import Bodies
from inference_service.enquiries import Enquiries
from inference_service.inventory import Inventory, Standing
from inference_service.openapi import AnswerOperation, OverlayOperation
from inference_service.overlays import DRAWN
from inference_service.recognition import Recognition
from inference_service.settings import Settings
from inference_service.tasks import TASKS

__all__ = ["ModelInUse", "ModelsInUse", "routes"]


class ModelInUse(msgspec.Struct, frozen=True, kw_only=True):
    """A task and what answers it; `active`: it runs on every upload.

    `needs`: tasks whose answers it rests on; `trouble`: why it is left alone for a while, if so;
    `standing`: how the model does in the process that answers (each replica has its own);
    `languages`: ISO 639-1 codes of what the model reads, if it reads.
    """

    task: str
    model: str
    version: str
    description: str
    active: bool
    standing: Standing
    needs: tuple[str, ...] = ()
    trouble: str | None = None
    languages: tuple[str, ...] = ()


class ModelsInUse(msgspec.Struct, frozen=True, kw_only=True):
    """All tasks, in the order in which they are run."""

    models: list[ModelInUse]


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The task will run; its answer will be the fact on `subject`."""

    image_id: str
    task: str
    subject: str


@get("/inference/models", tags=["inference"])
async def list_models(state: State) -> ModelsInUse:
    """List the tasks, the model behind each, and whether it runs on every upload."""
    settings: Settings = state.settings
    recognition: Recognition = state.recognition
    inventory: Inventory = state.inventory
    standings = await inventory.take(list(TASKS))
    return ModelsInUse(
        models=[
            ModelInUse(
                task=task.name,
                model=recognition.models[task.name].name,
                version=recognition.models[task.name].version,
                description=task.description,
                active=task.name in settings.planned_tasks,
                standing=standings[task.name],
                needs=task.needs,
                trouble=recognition.trouble(task.name),
                languages=recognition.models[task.name].languages,
            )
            for task in TASKS.values()
        ]
    )


@post(
    "/inference/{task:str}",
    tags=["inference"],
    status_code=200,
    operation_class=AnswerOperation,
)
async def answer_now(task: FromPath[str], request: Request[None, None, State]) -> AnyAnswer:
    """Run a task on a file (field `file` or `image`) or on an uploaded image; nothing is kept.

    `embedding` takes a text too, where its model has a text encoder: its vector lies where those
    of pictures do that show what it says.
    """
    task = _known(task)
    choice = parameters.read(request.query_params.multi_items(), parameters.CHOICE)
    require_choice(task, **choice)
    bodies: Bodies = request.app.state.bodies
    enquiries: Enquiries = request.app.state.enquiries
    async with bodies.asked_in(request) as asked:
        if isinstance(asked, str):
            if task != "embedding":
                raise Rejected(422, "no_text", f"a text can be embedded; {task} is about pictures")
            return await enquiries.answer_text(asked)
        verdict, result = await enquiries.answer(asked, task)
    return answer_of(verdict, wanted(result, task, **choice))


@post("/inference/images/{image_id:str}/{task:str}", tags=["inference"], status_code=202)
async def infer_again(image_id: FromPath[str], task: FromPath[str], state: State) -> Accepted:
    """Run a task on an uploaded image again; the answer comes as a fact."""
    recognition: Recognition = state.recognition
    image_id = parse_image_id(image_id)
    command = Infer(image_id=image_id, task=_known(task), requested_at=ids.now())
    await recognition.request(command)
    subject = f"images.v1.{image_id}.inferred.{task}"
    return Accepted(image_id=image_id, task=task, subject=subject)


@get(
    "/inference/images/{image_id:str}/{task:str}/overlay",
    tags=["inference"],
    media_type="image/png",
    operation_class=OverlayOperation,
)
async def draw_overlay(
    image_id: FromPath[str], task: FromPath[str], request: Request[None, None, State]
) -> Response[bytes]:
    """Draw what a task found on the picture: boxes, outlines and places, as its fact says."""
    image_id, task = parse_image_id(image_id), _known(task)
    if task not in DRAWN:
        raise Rejected(
            404, "no_overlay", f"what {task} finds lies nowhere; drawn are: {', '.join(DRAWN)}"
        )
    choice = parameters.read(request.query_params.multi_items(), parameters.OVERLAY)
    side = choice.pop("side")
    enquiries: Enquiries = request.app.state.enquiries
    result = wanted(await enquiries.result(image_id, task), task, **choice)
    drawing = await enquiries.drawn(image_id, task, result, side)
    # whoever looks again shall see what is found by then
    return Response(drawing, media_type="image/png", headers={"cache-control": "no-cache"})


routes = [list_models, answer_now, infer_again, draw_overlay]


def _known(task: str) -> str:
    if task not in TASKS:
        raise Rejected(404, "unknown_task", f"{task[:64]!r} is none of {', '.join(TASKS)}")
    return task
