"""Train a discrete flow-matching language model and its few-step student, and export it for Millrace."""

import argparse
import sys
from pathlib import Path

import torch

from . import config as configuration
from .errors import TrainingError


def common(parsers, name, text):
    parser = parsers.add_parser(name, help=text, description=text)
    parser.add_argument("config", help="the model's .toml")
    parser.add_argument("run", metavar="run-directory", help="tokens, checkpoints and logs of this model")
    return parser


def arguments(argv=None):
    parser = argparse.ArgumentParser(prog="fsdfm", description=__doc__)
    parsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common(parsers, "prepare", "corpus -> tokenizer and token files")
    for name, text in (("pretrain", "train the teacher"), ("distil", "train the student from the teacher")):
        stage = common(parsers, name, text)
        stage.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda if there is one")
        stage.add_argument("--threads", type=int, help="of the CPU")
        stage.add_argument("--compile", action="store_true", help="compile the networks (PyTorch 2)")
        stage.add_argument("--float32", action="store_true", help="compute in float32; default: bf16 where the machine has it")
        stage.add_argument("--judge", metavar="COMMAND", help="program that scores the samples (docs/eval.md)")
    export = common(parsers, "export", "write the model directory that Millrace serves")
    export.add_argument("--out", required=True, metavar="DIR")
    export.add_argument("--weights", choices=("ema", "student", "teacher"), default="ema")
    export.add_argument("--dtype", choices=("f32", "bf16"), default="f32", help="of the matrices")
    export.add_argument("--name", help="default: the configuration's")
    export.add_argument("--solver", choices=("cumulative", "euler", "dfm", "stratified"), help="of requests that name none")
    golden = common(parsers, "golden", "write logits for `millrace verify`")
    golden.add_argument("--out", required=True, metavar="DIR")
    golden.add_argument("--weights", choices=("ema", "student", "teacher"), default="ema")
    sample = common(parsers, "sample", "write texts with PyTorch, for `millrace eval --score`")
    sample.add_argument("--out", required=True, metavar="FILE.jsonl")
    sample.add_argument("--weights", choices=("ema", "student", "teacher"), default="ema")
    sample.add_argument("--solver", choices=("cumulative", "euler", "dfm"), default="cumulative")
    sample.add_argument("--steps", type=int, default=8)
    sample.add_argument("--texts", type=int, default=64)
    sample.add_argument("--seed", type=int, default=1)
    sample.add_argument("--temperature", type=float, default=1.0)
    sample.add_argument("--last-temperature", type=float, help="of the last step; default: as all others")
    sample.add_argument("--estimate", choices=("rk4", "heun"), help="sample from what a student would learn from this network")
    sample.add_argument("--average", choices=("logits", "probabilities"), default="logits", help="of the estimate")
    curves = common(parsers, "curves", "draw loss and quality against updates (matplotlib)")
    curves.add_argument("--out", required=True, metavar="FILE.png")
    quality = parsers.add_parser("quality", help="draw quality against steps, from `millrace eval --json` (matplotlib)")
    quality.add_argument("files", nargs="+", metavar="LABEL=FILE.json")
    quality.add_argument("--out", required=True, metavar="FILE.png")
    return parser.parse_args(argv)


def build_stage(config, options):
    from .distil import Distil
    from .pretrain import Pretrain

    torch.manual_seed(config.seed)
    return Pretrain(config) if options.command == "pretrain" else Distil(config, Path(options.run))


def train(config, options):
    from .judge import Judge
    from .loop import Machine, Run

    if options.threads:
        torch.set_num_threads(options.threads)
    machine = Machine(options.device, options.compile, False if options.float32 else None)
    judge = Judge(options.judge) if options.judge and machine.first else None
    try:
        Run(config, build_stage(config, options), options.run, machine, judge).go()
    finally:
        if judge:
            judge.close()
        machine.close()


def run(options):
    """What the command says; TrainingError where the user has to do something."""
    if options.command == "quality":
        from .quality import draw

        return draw(options.files, options.out)
    config = configuration.load(options.config)
    if options.command == "prepare":
        from .prepare import prepare

        prepare(config, options.run)
    elif options.command == "export":
        from .export import export

        export(config, options.run, options.out, options.weights, options.dtype, options.name, options.solver)
    elif options.command == "golden":
        from .export import golden

        golden(config, options.run, options.out, options.weights)
    elif options.command == "sample":
        from .sampling import write_texts

        write_texts(config, options)
    elif options.command == "curves":
        from .curves import draw as draw_curves

        draw_curves(options.run, options.out)
    else:
        train(config, options)


def main():
    try:
        run(arguments())
    except TrainingError as error:
        sys.exit(f"fsdfm: {error}")


if __name__ == "__main__":
    main()
