"""Which wire carries the calls to a provider. A provider's SDK is imported when its first wire is made."""

from app.models.catalog import SELF_HOSTED, Catalog
from app.models.ollama import root_of
from app.models.providers.litellm import LiteLLMWire
from app.models.providers.null import NullWire
from app.models.providers.wire import Wire
from app.settings import Settings


def make_wire(settings: Settings, provider: str, key: str) -> Wire:
    """The wire of a provider with a key. Its SDK is imported here: each costs a second and tens of megabytes."""
    connect = settings.connect_timeout_seconds
    match provider:
        case "anthropic":
            from app.models.providers.anthropic import AnthropicWire

            return AnthropicWire(api_key=key, base_url=settings.anthropic_base_url, connect_seconds=connect)
        case "gemini":
            from app.models.providers.gemini import GeminiWire

            return GeminiWire(api_key=key, base_url=settings.gemini_base_url, connect_seconds=connect)
        case _:
            return _openai_wire(settings, provider, key)


def _openai_wire(settings: Settings, provider: str, key: str) -> Wire:
    from app.models.providers.openai import OpenAIWire

    connect = settings.connect_timeout_seconds
    match provider:
        case "deepseek":
            base_url = settings.deepseek_base_url or "https://api.deepseek.com"
            return OpenAIWire(provider="DeepSeek", api_key=key, base_url=base_url, connect_seconds=connect)
        case "ollama":
            base_url = f"{root_of(settings.ollama_base_url)}/v1"
            return OpenAIWire(provider="Ollama", api_key=key, base_url=base_url, connect_seconds=connect)
        case _:
            return OpenAIWire(
                provider="OpenAI", api_key=key, base_url=settings.openai_base_url,
                organization=settings.openai_organization, connect_seconds=connect,
            )  # fmt: skip


def environment_keys(settings: Settings) -> dict[str, str]:
    """Keys of the providers that have one in the environment."""
    named = {
        "anthropic": settings.anthropic_api_key,
        "openai": settings.openai_api_key,
        "gemini": settings.google_api_key,
        "deepseek": settings.deepseek_api_key,
    }
    return {provider: key.get_secret_value() for provider, key in named.items() if key}


def wires(settings: Settings, catalog: Catalog) -> dict[str, Wire]:
    """A wire for each provider with a key in the environment, and the null one. LiteLLM's carries what no other does;
    it is imported here only where one of its providers needs a key."""
    keys = environment_keys(settings)
    made: dict[str, Wire] = {provider: make_wire(settings, provider, key) for provider, key in keys.items()}
    made["null"] = NullWire()
    shared = LiteLLMWire(connect_seconds=settings.connect_timeout_seconds)
    others = {model.provider: model for model in catalog.models if model.wire == "litellm"}
    for provider, model in others.items():
        if provider not in made and (provider in SELF_HOSTED or not shared.misses_key(model)):
            made[provider] = shared
    return made
