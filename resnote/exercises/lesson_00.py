"""The guess of lesson 00."""

from resnote.exercises.prediction import Prediction


class guesses:
    """The lesson's predictions; they stand here so that a cell does not give the answer away."""

    shift = Prediction(
        "y = slope · x + shift. You add 2 to the shift. What happens to the line?",
        {
            "it gets steeper": "That is what the slope does. Try both in the explorer.",
            "it moves up by 2": "Every y is 2 larger, and the slope is what it was.",
            "it moves to the right by 2": "At x = 0 the line is at the shift. Try it in the explorer.",
        },
        answer="it moves up by 2",
    )
