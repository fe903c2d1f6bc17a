"""resnote: the helper package of the course of the same name."""
