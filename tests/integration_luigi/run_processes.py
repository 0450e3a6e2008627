"""A task that lets another process make its output: `python run_processes.py WAY FOLDER`."""

# ruff: noqa: D101, D102, D103, PLW0603, T201 - a program of its own

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Luigi's own, at its import
    import luigi

from luigi_atomik import AtomicLocalTarget, AtomicOutputs


class Work(AtomicOutputs, luigi.Task):
    way = luigi.Parameter()
    base = luigi.Parameter()

    def output(self):
        return AtomicLocalTarget(os.path.join(self.base, "made.txt"))

    def work(self):
        Path(self.output().path).write_text("made")

    def run(self):
        way, _, method = self.way.partition("-")
        getattr(self, f"by_{way}")(method)

    def by_process(self, method):
        process = multiprocessing.get_context(method).Process(target=self.work)
        process.start()
        process.join()

    def by_pool(self, method):
        with multiprocessing.get_context(method).Pool(2) as pool:
            pool.apply(self.work)

    def by_executor(self, method):
        if method == "before":
            EXECUTOR.submit(self.work).result()
            return
        with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as executor:
            executor.submit(self.work).result()

    def by_pickled(self, _method):
        copy = pickle.dumps(self)
        luigi.task_register.Register.clear_instance_cache()
        pickle.loads(copy).work()

    def by_subprocess(self, _method):
        Path(self.output().path + ".pickled").write_bytes(pickle.dumps(self))
        subprocess.run([sys.executable, __file__, "work", self.output().path + ".pickled"], check=True)
        os.unlink(self.output().path + ".pickled")

    def by_stop(self, _method):
        Path(self.output().path).write_text("half")
        Path(self.base, "pickled").write_bytes(pickle.dumps(self))
        print("pickled", flush=True)
        time.sleep(600)

    def by_outlive(self, _method):
        self.work()
        read, write = os.pipe()
        if os.fork() == 0:
            os.close(write)
            os.read(read, 1)  # until run() has ended
            print(self.output().path, flush=True)
            os._exit(0)
        os.close(read)
        self.write = write


def load(path):
    return pickle.loads(Path(path).read_bytes())


def main():
    global EXECUTOR
    way, argument = sys.argv[1:]
    if way == "work":
        load(argument).work()
    elif way == "load":
        print(load(os.path.join(argument, "pickled")).output().path)
    else:
        os.environ["ATOMIK_SYNC"] = "off"
        if way == "executor-before":
            EXECUTOR = ProcessPoolExecutor(1)
            EXECUTOR.submit(os.getpid).result()
        task = Work(way, argument)
        task.run()
        print("published" if Path(argument, "made.txt").read_text() == "made" else "?", flush=True)
        if way == "outlive":
            os.close(task.write)
            os.wait()
        if way == "executor-before":
            EXECUTOR.shutdown()


if __name__ == "__main__":
    main()
