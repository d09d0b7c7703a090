"""A reward function as TRL's GRPOTrainer takes it."""
import re


def last_number(completions, answer, **kwargs):
    rewards = []
    for completion, expected in zip(completions, answer):
        text = completion if isinstance(completion, str) else completion[0]["content"]
        numbers = re.findall(r"-?\d+", text)
        rewards.append(1.0 if numbers[-1:] == [expected] else 0.0)
    return rewards
