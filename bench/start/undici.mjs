import "undici";
