// nanobind's own sources, from wherever it is installed.
#include <nb_combined.cpp>
