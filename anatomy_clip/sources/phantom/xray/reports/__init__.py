"""What is written of simulated films: reports and questions."""
