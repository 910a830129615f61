"""Parts that Kedro asks of a project: context, session, console, checks of commands."""
