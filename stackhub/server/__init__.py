"""HTTP: the API, webhooks, health and metrics, and the guard before them; and the views that the CLI shows as well.

Read it in this order: `views` and `why` make JSON documents of what the store holds; `guard` decides who may ask;
`api`, `hooks` and `health` are the routes; `app` puts them together; `listen` puts the app on a port and a socket.
"""
