return "missed"
