"""The small models, language models and speech as a service: in one process, or on many machines through Ray Serve.

There is one seam: `Asking.ask(kind, body)` takes and gives bytes. `LocalModels` answers in this process, `RayReplicas`
on a cluster, `HttpReplicas` across the wire; `served.*` are the protocols of `assist` over any of them.
"""
