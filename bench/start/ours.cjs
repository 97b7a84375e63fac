require("eas-prediction");
