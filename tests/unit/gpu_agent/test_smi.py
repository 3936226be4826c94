"""What `make test-gpu` reads of nvidia-smi; there is none where the unit tests run."""

from gpu.smi import Card, parse_cards, parse_processes

UUID = "GPU-5e1f0a6c-0000-4000-8000-000000000001"


def test_parse_cards_reads_names_with_blanks() -> None:
    assert parse_cards(f"0, {UUID}, NVIDIA H100 80GB HBM3, 4, 81559\n") == [
        Card(0, UUID, "NVIDIA H100 80GB HBM3", 4, 81559)
    ]


def test_parse_processes_reads_none_and_several() -> None:
    assert parse_processes("") == set()
    assert parse_processes(f"{UUID}, 41\n{UUID}, 42\n") == {(UUID, 41), (UUID, 42)}
