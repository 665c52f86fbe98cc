/* The calls of MPI that shardrun makes, as functions: MPI's own names for communicators, types and
   wildcards are macros, which Swift does not see. All return MPI's error codes. */
#ifndef CMPI_SHIM_H
#define CMPI_SHIM_H

#define OMPI_SKIP_MPICXX 1
#include <mpi.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

/* Joins the processes that mpirun started; errors come back as codes from here on. All other calls
   come from the thread that made this one. */
static inline int cmpi_start(int *rank, int *size) {
  int provided = 0;
  int code = MPI_Init_thread(0, 0, MPI_THREAD_FUNNELED, &provided);
  if (code != MPI_SUCCESS) return code;
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  if (provided < MPI_THREAD_FUNNELED) return MPI_ERR_OTHER;
  code = MPI_Comm_rank(MPI_COMM_WORLD, rank);
  return code != MPI_SUCCESS ? code : MPI_Comm_size(MPI_COMM_WORLD, size);
}

/* Takes the next message that has come, if there is one: who sent it, its tag and its length. */
static inline int cmpi_probe(
    MPI_Message *message, int *found, int *source, int *tag, int *byte_count) {
  MPI_Status status;
  int code = MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, found, message, &status);
  if (code != MPI_SUCCESS || !*found) return code;
  *source = status.MPI_SOURCE;
  *tag = status.MPI_TAG;
  return MPI_Get_count(&status, MPI_BYTE, byte_count);
}

static inline int cmpi_receive(MPI_Message *message, void *bytes, int byte_count) {
  return MPI_Mrecv(bytes, byte_count, MPI_BYTE, message, MPI_STATUS_IGNORE);
}

/* Begins to send; the bytes stay where they are until cmpi_is_sent says so. */
static inline int cmpi_send(
    const void *bytes, int byte_count, int rank, int tag, MPI_Request *request) {
  return MPI_Isend(bytes, byte_count, MPI_BYTE, rank, tag, MPI_COMM_WORLD, request);
}

static inline int cmpi_is_sent(MPI_Request *request, int *done) {
  return MPI_Test(request, done, MPI_STATUS_IGNORE);
}

static inline int cmpi_finish(void) { return MPI_Finalize(); }

static inline void cmpi_describe(int code, char text[MPI_MAX_ERROR_STRING]) {
  int length = 0;
  if (MPI_Error_string(code, text, &length) != MPI_SUCCESS) text[0] = 0;
}

/* Lets this thread's short sleeps be short: the kernel adds 50 us otherwise. */
static inline void cmpi_sleep_precisely(void) {
#ifdef __linux__
  prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
#endif
}

#endif
