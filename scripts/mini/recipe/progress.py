"""A stage of the training on disk: its state, saved every few minutes, and its log."""
import json
import os
import pathlib
import time

import torch


class Stage:
    """FOLDER/NAME.state holds the modules, the optimiser and the step that comes next; FOLDER/log.jsonl gets a
    line for what is worth reading."""

    SAVE_EVERY_S = 180

    def __init__(self, folder, name, modules, steps, learning_rate, device):
        self.folder, self.name, self.steps, self.device = pathlib.Path(folder), name, steps, device
        self.modules, self.peak, self.next = modules, learning_rate, 0
        parameters = [p for module in modules.values() for p in module.parameters()]
        self.optimiser = torch.optim.AdamW(parameters, betas=(0.9, 0.98), weight_decay=0.01, lr=learning_rate)
        self.parameters, self.saved_s, self.began = parameters, time.monotonic(), None
        if self.path.exists():
            state = torch.load(self.path, map_location=device, weights_only=True)
            for key, module in modules.items():
                module.load_state_dict(state["modules"][key])
            self.optimiser.load_state_dict(state["optimiser"])
            self.next = state["next"]

    @property
    def path(self):
        return self.folder / f"{self.name}.state"

    @property
    def done(self):
        return self.next >= self.steps

    def save(self):
        beside = self.path.with_suffix(".part")
        torch.save({"modules": {key: module.state_dict() for key, module in self.modules.items()},
                    "optimiser": self.optimiser.state_dict(), "next": self.next}, beside)
        os.replace(beside, self.path)
        self.saved_s = time.monotonic()

    def learn(self, loss):
        """One step of the optimiser: a warm-up over the first 5 %, then down to 3 % along a cosine."""
        place = self.next / self.steps
        warm = min(1.0, (self.next + 1) / max(1, 0.05 * self.steps))
        factor = 0.03 + 0.97 * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * place)).item())
        for group in self.optimiser.param_groups:
            group["lr"] = self.peak * warm * factor
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.next += 1
        if self.began is None:
            self.began = (time.monotonic(), self.next)
        if self.done or time.monotonic() - self.saved_s > self.SAVE_EVERY_S:
            self.save()

    @torch.no_grad()
    def log(self, **values):
        """Numbers may be tensors."""
        values = {key: round(float(torch.as_tensor(value)), 4) for key, value in values.items()}
        seconds, first = self.began or (time.monotonic(), self.next)
        step_s = (time.monotonic() - seconds) / max(1, self.next - first)
        with open(self.folder / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps({"stage": self.name, "step": self.next, "step_s": round(step_s, 4), **values})
                       + "\n")
        text = "  ".join(f"{key} {value:.4g}" for key, value in values.items())
        print(f"{self.name} {self.next}/{self.steps}  {step_s:.3g} s/step  {text}", flush=True)
