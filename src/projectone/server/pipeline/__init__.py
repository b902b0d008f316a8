"""The AI Model Trainer: five nodes, their edges, and what runs them.

Saved state is read by LangGraph's serialiser, which decides at its import whether it may call what a row names. So the
switch is set here, before anything of this package can import it; `checkpoints.assert_strict_reader` proves it.
LangGraph can also report every run to a service outside; that is switched off here, whatever the environment says.
"""

import os

os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
for _name in ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING", "LANGCHAIN_TRACING_V2"):
    os.environ[_name] = "false"
