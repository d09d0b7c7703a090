"""A reward function as verl's `custom_reward_function.path` takes it."""
import re


def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    numbers = re.findall(r"-?\d+", solution_str)
    right = numbers[-1:] == [ground_truth]
    return {"score": 1.0 if right else -1.0, "acc": right, "pred": numbers[-1] if numbers else None}
