"""The games of OpenSpiel, through one class: the extra ``openspiel``."""
