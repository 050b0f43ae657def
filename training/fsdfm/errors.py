"""The one kind of error that is the user's to fix: it is shown as a sentence, without a traceback."""


class TrainingError(Exception):
    pass
