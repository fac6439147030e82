# Every third-party library, as an imported target with SYSTEM headers. What is missing is named
# together with the way to get it.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

set(ppx_setup_hint "Run scripts/setup, which installs everything this project needs.")

macro(ppx_require name)
  if(NOT ${name})
    message(FATAL_ERROR "${ARGN} was not found. ${ppx_setup_hint}")
  endif()
endmacro()

foreach(module sndfile samplerate libzip libcrypto libcurl kissfft-float)
  pkg_check_modules(${module} IMPORTED_TARGET ${module})
  ppx_require(${module}_FOUND ${module})
endforeach()
find_package(nlohmann_json 3.10 QUIET)
ppx_require(nlohmann_json_FOUND "nlohmann_json 3.10 or newer")
find_package(yaml-cpp QUIET)
ppx_require(yaml-cpp_FOUND yaml-cpp)
if(NOT TARGET yaml-cpp::yaml-cpp)
  add_library(yaml-cpp::yaml-cpp ALIAS yaml-cpp)
endif()
find_package(pugixml QUIET)
ppx_require(pugixml_FOUND pugixml)
find_package(Boost 1.74 QUIET)  # headers only: Boost.Math, Boost.Random
ppx_require(Boost_FOUND "Boost 1.74 or newer")
find_package(fmt QUIET)
ppx_require(fmt_FOUND fmt)
add_library(ppx_fmt ALIAS fmt::fmt)
find_package(CLI11 QUIET)
ppx_require(CLI11_FOUND CLI11)
find_path(DOCTEST_INCLUDE_DIR doctest/doctest.h)
ppx_require(DOCTEST_INCLUDE_DIR doctest)
# Used by tests alone: an HTTP server and a JSON Schema validator.
pkg_check_modules(cpp-httplib IMPORTED_TARGET cpp-httplib)  # its flags decide a class's layout
ppx_require(cpp-httplib_FOUND cpp-httplib)
find_path(VALIJSON_INCLUDE_DIR valijson/validator.hpp)
ppx_require(VALIJSON_INCLUDE_DIR valijson)
add_library(ppx_doctest INTERFACE)
target_include_directories(ppx_doctest SYSTEM INTERFACE ${DOCTEST_INCLUDE_DIR})

# LibTorch. The toolkit links the CPU half only and loads libtorch_cuda.so at run time when a CUDA
# device is asked for. So a CUDA build of LibTorch is used even where no CUDA toolkit is installed:
# its own config file would look for the toolkit, unless torch::cudart exists already.
set(ppx_torch_version 2.11.0)
if(DEFINED ENV{PPX_CACHE})
  set(ppx_cache $ENV{PPX_CACHE})
elseif(DEFINED ENV{XDG_CACHE_HOME})
  set(ppx_cache $ENV{XDG_CACHE_HOME}/ppx)
else()
  set(ppx_cache $ENV{HOME}/.cache/ppx)
endif()
if(NOT TARGET torch::cudart)
  add_library(torch::cudart INTERFACE IMPORTED)
  if(PPX_HAVE_CUDA)
    target_link_libraries(torch::cudart INTERFACE CUDA::cudart)
  endif()
endif()
find_package(Torch QUIET PATHS ${ppx_cache}/libtorch-${ppx_torch_version}/torch)
if(NOT Torch_FOUND OR NOT TARGET torch_cpu_library)
  message(FATAL_ERROR "LibTorch ${ppx_torch_version} was not found. ${ppx_setup_hint} "
    "For a LibTorch of your own, set CMAKE_PREFIX_PATH to its folder.")
endif()
if(Torch_VERSION VERSION_LESS 2.4)
  message(FATAL_ERROR "LibTorch ${Torch_VERSION} at ${Torch_DIR} is older than 2.4. ${ppx_setup_hint}")
endif()
message(STATUS "LibTorch ${Torch_VERSION} at ${TORCH_INSTALL_PREFIX}")
add_library(ppx_torch INTERFACE)
target_include_directories(ppx_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
target_link_libraries(ppx_torch INTERFACE torch_cpu_library c10)
target_compile_options(ppx_torch INTERFACE ${TORCH_CXX_FLAGS})
# LibTorch ships headers of another fmt, which its includes put in front of those of the library we
# link. The names of the two differ, so they can live side by side.
target_compile_definitions(ppx_torch INTERFACE FMT_HEADER_ONLY=1)
# libcudart and libcupti, which the CPU half of a CUDA LibTorch needs at load time.
get_filename_component(ppx_nvidia_lib ${TORCH_INSTALL_PREFIX}/../nvidia/cu13/lib ABSOLUTE)
target_link_options(ppx_torch INTERFACE
  -Wl,-rpath-link,${ppx_nvidia_lib} -Wl,-rpath,${TORCH_INSTALL_PREFIX}/lib -Wl,-rpath,${ppx_nvidia_lib})
if(PPX_HAVE_CUDA AND NOT TARGET c10_cuda)
  message(STATUS "LibTorch is a CPU build: the CUDA kernels are left out")
  set(PPX_HAVE_CUDA OFF)
endif()

# Silero's voice activity detector, for tests; programs look for it when they run.
set(PPX_SILERO_VAD ${ppx_cache}/silero-vad-6.2.1/silero_vad.jit)
if(NOT EXISTS ${PPX_SILERO_VAD})
  message(FATAL_ERROR "silero_vad.jit was not found. ${ppx_setup_hint}")
endif()

# SentencePiece, static and with hidden symbols (scripts/setup builds it so): the distribution's
# shared library and LibTorch each export their own copy of protobuf, and the program that loads
# both crashes before main.
find_path(SENTENCEPIECE_INCLUDE_DIR sentencepiece_processor.h
  PATHS ${ppx_cache}/sentencepiece-0.2.0/include NO_DEFAULT_PATH)
find_library(SENTENCEPIECE_LIBRARY libsentencepiece.a
  PATHS ${ppx_cache}/sentencepiece-0.2.0/lib NO_DEFAULT_PATH)
ppx_require(SENTENCEPIECE_LIBRARY "The static SentencePiece")
add_library(ppx_sentencepiece INTERFACE)
target_include_directories(ppx_sentencepiece SYSTEM INTERFACE ${SENTENCEPIECE_INCLUDE_DIR})
target_link_libraries(ppx_sentencepiece INTERFACE ${SENTENCEPIECE_LIBRARY} Threads::Threads)
