// tests/support/doctest.h: doctest, for tests that do not include LibTorch.
#pragma once

#include <doctest/doctest.h>
