"""What watches a training.

Hooks have the names and arguments that Lightning gave them, and are looked up by name: a callback
written for it serves here too, as long as it asks the trainer for no more than
:class:`mien.training.loop.Trainer` has.
"""

from __future__ import annotations


class Callback:
    """Base of what watches a training; a subclass has the hooks that it needs.

    All are methods of a trainer and a module: ``on_fit_start``, ``on_train_start``,
    ``on_train_epoch_start``, ``on_train_batch_start`` (also batch, its number),
    ``on_train_batch_end`` (also ``{"loss": …}``, batch, its number), ``on_validation_start``,
    ``on_validation_batch_end`` (also logits, batch, its number), ``on_validation_epoch_end``,
    ``on_train_epoch_end``, ``on_epoch_end`` (when the rates are those of the next epoch),
    ``on_train_end``, ``on_fit_end`` and ``on_exception`` (also the error).
    From ``on_validation_epoch_end`` on ``trainer.callback_metrics`` has every score of the epoch.
    What ``state_dict()`` returns is in the checkpoint, and ``load_state_dict`` gets it back.
    """


class EnoughError(Exception):
    """A hook raises it to end a trial in the middle of an epoch; who began the trial catches it."""
