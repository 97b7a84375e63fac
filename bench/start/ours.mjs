import "eas-prediction";
