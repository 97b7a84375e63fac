import "@bufbuild/protobuf";
