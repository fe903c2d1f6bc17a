"""All exercises by name, such as "lesson_03.ex1"."""

from resnote.exercises import lesson_01, lesson_02, lesson_03, lesson_04, lesson_05, lesson_06
from resnote.exercises.base import Exercise

LESSONS = lesson_01, lesson_02, lesson_03, lesson_04, lesson_05, lesson_06
EXERCISES = {f"{module.__name__.split('.')[-1]}.{name}": value
             for module in LESSONS for name, value in vars(module).items() if isinstance(value, Exercise)}
