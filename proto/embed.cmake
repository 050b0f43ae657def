# cmake -D FROM=file -D TO=file.c -P embed.cmake: the bytes of FROM as the C array of descriptors.h.
file(READ ${FROM} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REPEAT "0x..," 16 line)
string(REGEX REPLACE "(${line})" "\\1\n" bytes "${bytes}")
file(WRITE ${TO} "#include \"proto/descriptors.h\"\n\nconst unsigned char proto_descriptors[] = {\n${bytes}};\nconst size_t proto_descriptors_size = sizeof proto_descriptors;\n")
