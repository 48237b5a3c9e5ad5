#include <mpi.h>
#include <cstdio>
#include <time.h>
#include "upper/tests/native_lower.h"
using namespace mana; using namespace mana::upper; using namespace mana::upper::test;
static double now(){timespec t; clock_gettime(CLOCK_THREAD_CPUTIME_ID,&t);return t.tv_sec*1e9+t.tv_nsec;}
int main(){
  start(); Datatype*t=predefined_type(abi::LONG); const int N=3000; double best[4]={1e9,1e9,1e9,1e9};
  for(int rep=0;rep<300;++rep){
  long s=1,d; double t2=now();
  for(int i=0;i<N;++i){MPI_Request q[2];MPI_Irecv(&d,1,MPI_LONG,0,1,MPI_COMM_SELF,&q[0]);MPI_Isend(&s,1,MPI_LONG,0,1,MPI_COMM_SELF,&q[1]);MPI_Waitall(2,q,MPI_STATUSES_IGNORE);}
  double t3=now();
  for(int i=0;i<N;++i){Request*q[2];Irecv(&d,1,t,0,1,&self_comm,&q[0]);Isend(&s,1,t,0,1,&self_comm,&q[1]);Waitall(2,q,nullptr);}
  double t4=now();
  int f;
  for(int i=0;i<N;++i)MPI_Iprobe(MPI_ANY_SOURCE,5,MPI_COMM_WORLD,&f,MPI_STATUS_IGNORE);
  double t5=now();
  for(int i=0;i<N;++i)Iprobe(abi::ANY_SOURCE,5,&world_comm,&f,nullptr);
  double t6=now();
  double v[4]={t3-t2,t4-t3,t5-t4,t6-t5}; for(int k=0;k<4;++k) if(v[k]<best[k])best[k]=v[k];
  }
  printf("self %.0f/%.0f iprobe %.1f/%.1f\n",best[0]/N,best[1]/N,best[2]/N,best[3]/N);
  return finish();
}
