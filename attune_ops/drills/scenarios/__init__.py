"""The drills, one file each, found by convention; a module with an underscore holds what several of them do."""
