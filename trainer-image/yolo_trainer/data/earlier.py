"""What earlier preparations spare a new one: all of it, the reading of images, or nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from .convert import Target
from .images import ImageFacts
from .index import Index
from .job import Job
from .locate import Located
from .manifest import Details, TornManifestError, is_as_read, is_whole, read_manifest
from .recall import Outcome
from .source import Source
from .tree import UNTOLD
from .usage import mark_used


def keys_of(
    job: Job, sources: dict[str, Source], target: Target, located: list[Located]
) -> tuple[str | None, str]:
    """Keys of the index: of the sources in exactly this state with these options, None where nothing tells
    that state; of the sources alone."""
    names = {name: [source.kind, str(source.path), source.tree.image] for name, source in sources.items()}
    options = [*job.options, target.names]
    digest = hashlib.sha256(json.dumps([options, names], sort_keys=True).encode())
    is_told = all(one.is_told for one in located)
    for source in sources.values():
        for file in source.files:
            state = source.tree.state(file.stat())
            is_told = is_told and state[-1] != UNTOLD
            digest.update(json.dumps([str(file), *state]).encode())
    for one in located:
        digest.update(repr(one.state()).encode("utf-8", "surrogateescape"))
    if strays := job.skipped.counts["strayLabel"]:  # label files of YOLO that no sample tells of
        digest.update(str(strays).encode())
    source_key = hashlib.sha256(json.dumps(names, sort_keys=True).encode()).hexdigest()
    return digest.hexdigest() if is_told else None, source_key


def recall_set(job: Job, index: Index, outcome: Outcome) -> Details | None:
    """What is to be said of the set that was prepared from the same references, if all that it was made of is
    as it was; it is stamped as used."""
    details = index.lookup(outcome.key)
    folder = job.volume.prepared / outcome.hash
    if details is None or not outcome.holds(job.trees) or not folder.is_dir():
        return None
    mark_used(folder)  # before the look
    manifest = read_manifest(folder)
    if manifest is None or not is_as_read(manifest, {tree.image: tree for tree in job.trees}, job.report):
        return None
    return details


def is_found_whole(job: Job, details: Details, located: list[Located]) -> bool:
    """Whether a set is as it was prepared, with copies if these are asked for; it is stamped as used."""
    folder = job.volume.prepared / details.dataset.hash
    if not folder.is_dir():
        return False
    mark_used(folder)  # before the look
    manifest = read_manifest(folder)
    if manifest is None:
        return False
    seen = {one.facts.path: one.facts.state for one in located if one.facts}
    root, only_copies = job.trees[0].root, job.data.copy_images
    return is_whole(manifest, root, seen, job.report, only_copies=only_copies)


def known_facts(job: Job, last_hash: str | None) -> dict[str, ImageFacts]:
    """What is known of images, by path, as deep as it is asked for."""
    manifest = read_manifest(job.volume.prepared / last_hash) if last_hash else None
    roots = {tree.image: tree.root for tree in job.trees}
    facts = manifest.facts(roots) if manifest else ()
    is_enough = job.data.verify == "header"
    try:
        return {one.path: one for one in facts if one.orientation and (one.decoded or is_enough)}
    except TornManifestError:
        return {}


def with_known(located: Located, known: Mapping[str, ImageFacts]) -> Located:
    """With what an earlier preparation found out about the image, if that still holds."""
    if located.facts is None:
        return located
    earlier = known.get(located.facts.path)
    if earlier is None or not earlier.is_unchanged(located.facts):
        return located
    return located._replace(facts=earlier)
