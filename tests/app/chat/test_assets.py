from pathlib import Path

import httpx

from app.chat.assets import Assets


async def test_scripts_are_packed_for_a_browser_far_away(tmp_path: Path) -> None:
    (tmp_path / "index-1.js").write_text("alert(1);" * 1000)
    (tmp_path / "logo.png").write_bytes(b"\x89PNG")
    transport = httpx.ASGITransport(Assets(tmp_path, packs=True))

    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        packed = await client.get("/index-1.js")
        plain = await client.get("/index-1.js", headers={"accept-encoding": "identity"})
        image = await client.get("/logo.png")
        known = await client.get("/index-1.js", headers={"if-none-match": packed.headers["etag"]})

    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(plain.content) / 10
    assert packed.content == plain.content == b"alert(1);" * 1000  # the client unpacks
    assert "content-encoding" not in plain.headers
    assert "content-encoding" not in image.headers
    assert known.status_code == 304
    assert {r.headers["cache-control"] for r in (packed, plain, image)} == {"public, max-age=31536000, immutable"}
    assert {r.headers["vary"] for r in (packed, plain)} == {"Accept-Encoding"}
