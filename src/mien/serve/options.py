"""What a request may ask for, as query parameters."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

_PRIOR = "Shares of labels to answer for: natural, balanced, or LABEL=SHARE,LABEL=SHARE."


class Options(BaseModel):
    """Options of every route that reads pictures; an unknown one is refused."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(
        None, max_length=200, description="A name from /v1/models; default: the first."
    )
    labels: str | None = Field(
        None, max_length=200, description="Label schema to answer in, for example hes3."
    )
    detector: str | None = Field(
        None, max_length=200, description="A face detector from /v1/models; default: the first."
    )
    min_face: int | None = Field(None, ge=1, le=100_000, description="Smallest face, pixels.")
    max_faces: int | None = Field(None, ge=1, le=100_000, description="Most faces per picture.")
    prior: str | None = Field(None, max_length=400, description=_PRIOR)


class PredictOptions(Options):
    """Options of /v1/predict."""

    top_k: int | None = Field(
        None, ge=1, le=1000, description="Keep only the k most probable labels in `probs`."
    )
    include_map: bool = Field(
        False,  # noqa: FBT003 - pydantic's own form
        description="Add `maps`: for each picture a base64 PNG of what the model looked at.",
    )


class FacesOptions(BaseModel):
    """Options of /v1/predict/faces."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(
        None, max_length=200, description="A name from /v1/models; default: the first."
    )
    labels: str | None = Field(
        None, max_length=200, description="Label schema to answer in, for example hes3."
    )
    top_k: int | None = Field(
        None, ge=1, le=1000, description="Keep only the k most probable labels in `probs`."
    )
    prior: str | None = Field(None, max_length=400, description=_PRIOR)


class ExplainOptions(Options):
    """Options of /v1/explain."""

    label: str | None = Field(
        None, max_length=200, description="Label to explain; default: the most probable."
    )
