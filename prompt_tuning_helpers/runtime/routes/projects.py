"""Projects."""

from typing import Any

from starlette.responses import Response

from ..http.errors import bad_request, not_found
from ..removal import remove_project
from ..store.projects import Project
from .operations import PAGE, Operation, RequestContext, no_content

PROJECT_TYPE = "wx"
# The SDK builds the place of a training's results from these before it starts one; nothing is ever contacted.
STORAGE: dict[str, Any] = {
    "type": "bmcos_object_storage",
    "guid": "local",
    "properties": {
        "bucket_name": "local",
        "bucket_region": "local",
        "endpoint_url": "https://127.0.0.1",
        "credentials": {
            role: {"access_key_id": "local", "secret_access_key": "local", "api_key": "local", "service_id": "local"}
            for role in ("admin", "editor", "viewer")
        },
    },
}


def project_document(project: Project) -> dict[str, Any]:
    """Describe a project as clients see it."""
    return {
        "metadata": {
            "guid": project.id,
            "url": f"/v2/projects/{project.id}",
            "created_at": project.created_at,
            "updated_at": project.created_at,
        },
        "entity": {
            "name": project.name,
            "description": project.description,
            "generator": "local-watsonx-runtime",
            "public": False,
            "type": PROJECT_TYPE,
            "storage": STORAGE,
        },
    }


def get_project(context: RequestContext) -> Response:
    """Give one project."""
    return context.answer(project_document(_find(context)))


def list_projects(context: RequestContext) -> Response:
    """List all projects, or those of one name or type."""
    name, kind = context.query("name"), context.query("type")
    projects = [
        project
        for project in context.runtime.projects.all()
        if name in (None, project.name) and kind in (None, PROJECT_TYPE)
    ]
    limit, start = context.page()
    page = [project_document(project) for project in projects[start : start + limit]]
    return context.listing(page, len(projects), total_name="total_results")


def create_project(context: RequestContext) -> Response:
    """Make a project."""
    body = context.fields()
    body.choice("type", (PROJECT_TYPE,))
    name = body.required_text("name", 255)
    project = context.runtime.projects.create(name, body.text("description", 5000) or "")
    return context.answer({"location": f"/v2/projects/{project.id}"}, 201)


def delete_project(context: RequestContext) -> Response:
    """Delete a project with all it holds."""
    project_id = _find(context).id
    if project_id == context.runtime.secrets.project_id:
        raise bad_request("This is the runtime's own project, which stays: `reset` it, or the whole runtime.")
    remove_project(context.runtime, project_id)
    return no_content()


def reset_project(context: RequestContext) -> Response:
    """Delete all that a project holds; its id stays."""
    remove_project(context.runtime, _find(context).id, keep=True)
    return no_content()


def _find(context: RequestContext) -> Project:
    project = context.runtime.projects.get(context.path("project_id"))
    if project is None:
        raise not_found(
            f"This project is not there. The runtime's own is {context.runtime.secrets.project_id}.",
            "project_not_found",
        )
    return project


OPERATIONS = [
    Operation(
        "GET",
        "/v2/projects/{project_id}",
        get_project,
        "Get a project",
        query=("include",),
        differs="its storage is a stand-in; whatever include says, all there is of it is answered",
    ),
    Operation(
        "GET",
        "/v2/projects",
        list_projects,
        "List projects",
        query=("name", "type", "include", "project_id", "summary", *PAGE),
        differs="pages go by start, not by bookmark; project_id and summary, which the SDK sends, change nothing",
    ),
    Operation(
        "POST",
        "/transactional/v2/projects",
        create_project,
        "Create a project",
        query=(),
        fields=("name", "description", "type"),
        ignored=("storage", "generator", "compute", "tags", "public", "settings", "tools", "enforce_members"),
    ),
    Operation(
        "DELETE", "/transactional/v2/projects/{project_id}", delete_project, "Delete a project", query=(), fields=()
    ),
    Operation(
        "POST",
        "/v2/projects/{project_id}/reset",
        reset_project,
        "Empty a project",
        query=(),
        fields=(),
        differs="ours alone",
    ),
]
NOT_OFFERED = ("PATCH /v2/projects/{project_id}", "/v2/projects/{project_id}/members")
